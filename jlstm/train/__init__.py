"""Trains networks: tasks, steps, runs that survive, and the commands that use them.

`jlstm train` is built from these modules. `help(jlstm.train.step)` describes one of them, after
`import jlstm.train.step`.

Data:
  data.sources  load: the data that the table [data] of a config describes
  data.split  Split, Stream, Data: arrays of your own; Meaning: names, and units of numbers
  data.batches  training: batches without end; evaluation: every sequence once
  data.vocabulary  characters, encode, decode: a text and its tokens

A model:
  model  Batch, Model: what a step reads, and all parameters
  tasks.classify, tasks.label, tasks.regress, tasks.forecast, tasks.language, tasks.ctc
    Classify, Label, Regress, Forecast, Language, Ctc: what is predicted, and the loss

Training:
  optimizer  the optimiser that the table [optimizer] of a config describes
  step  new_state, make_train_step, make_eval_step: pure functions for one step
  loop  updates: many steps; evaluated: metrics of all of a split

A trained model:
  trained  Trained, save, load: one file
  predicting  predicted; forecast_errors: in the units of the data, beside naive forecasts
  sampling  sampled: text of a language model
"""
