"""The colours of plots and slides, one for each meaning.

From the palette of Okabe & Ito 2008, "Color Universal Design", which people with any common kind of colour
blindness can tell apart. sRGB in hexadecimal.
"""

REAL, FAKE = "#0072B2", "#D55E00"
CLASSES = {"REAL": REAL, "FAKE": FAKE}
TRAINING, VALIDATION = "#4D4D4D", "#009E73"
UNCALIBRATED = "#CC79A7"
INK, GREY, PAPER = "#14213D", "#5A6372", "#FFFFFF"
