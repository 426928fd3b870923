"""Networks that need no training."""

import keras
from keras import layers

from specksim_train.confidence import Exponential
from specksim_train.layers import Channels, LocalNormalization, WindowedShifts


def windowed_shifts():
    """Displacement in windows, to first order, and a standard error of 0.05 px everywhere."""
    counts = keras.Input((None, None, 2))
    found = Channels(0, 2)(WindowedShifts((4.0,))(LocalNormalization()(counts)))
    error = Exponential()(Channels(0, 2, scale=0.0)(counts))
    return keras.Model(counts, layers.Concatenate()([found, error]))
