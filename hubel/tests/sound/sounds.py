"""Makes the small sound files of the decoder's tests: 0.2 s of two sines, 440 and 1234 Hz, at 8 kHz.

    pip install soundfile==0.14.0 numpy==2.4.6
    python sounds.py
"""
import numpy as np
import soundfile

RATE = 8000
time = np.arange(1600) / RATE
tone = (0.4 * np.sin(2 * np.pi * 440 * time) + 0.2 * np.sin(2 * np.pi * 1234 * time)).astype(np.float32)
# Three blocks of FLAC, each small.
square = np.float32(0.5) * np.sign(np.sin(2 * np.pi * (np.arange(12288) + 0.5) / 64))
soundfile.write("square.flac", square, RATE, subtype="PCM_16")
for name, arguments in {
    "tone.wav": {"subtype": "PCM_16"},
    "ima.wav": {"subtype": "IMA_ADPCM"},
    "ms.wav": {"subtype": "MS_ADPCM"},
    "mulaw.wav": {"subtype": "ULAW"},
    "alaw.wav": {"subtype": "ALAW"},
    "tone.aiff": {"subtype": "PCM_16"},
    "tone.flac": {"subtype": "PCM_16"},
    "tone.mp3": {},
    "tone.ogg": {"format": "OGG", "subtype": "VORBIS"},
    "tone.opus": {"format": "OGG", "subtype": "OPUS"},
}.items():
    soundfile.write(name, tone, RATE, **arguments)
