"""jlstm: the LSTM for JAX, as pure functions over parameters and a (c, h) carry."""

from jlstm.cell import lstm_cell as lstm_cell
from jlstm.config import Config as Config
from jlstm.config import Layer as Layer
from jlstm.io import load as load
from jlstm.io import save as save
from jlstm.kernels.choice import implementations as implementations
from jlstm.network import LayerTrace as LayerTrace
from jlstm.network import Trace as Trace
from jlstm.network import apply as apply
from jlstm.network import step as step
from jlstm.network import trace as trace
from jlstm.params import Carry as Carry
from jlstm.params import LayerParams as LayerParams
from jlstm.params import Params as Params
from jlstm.params import init as init
from jlstm.params import initial_carry as initial_carry
from jlstm.sequence import lstm as lstm
