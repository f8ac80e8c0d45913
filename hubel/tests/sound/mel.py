"""Makes mel.json, the reference of the log-mel spectrogram's test.

    pip install librosa==0.11.0 numpy==2.4.6 scipy==1.17.1 numba==0.68.1
    python mel.py > mel.json

The signal is a formula that the test repeats: x[i] = 0.5 sin(2π (100 + 0.02 i) i / rate) + 0.1 sin(2π 0.11 i) + 0.05 r[i],
where r is a linear congruential generator, so that all bands have energy.
"""
import json

import librosa
import numpy as np

SETTINGS = [
    # rate, samples, window, hop, bands, lowest, highest
    (8000, 4000, 200, 80, 40, 0.0, 4000.0),
    (16000, 8001, 400, 160, 64, 0.0, 8000.0),
    (44100, 9001, 1102, 441, 64, 50.0, 14000.0),
]


def signal(rate, length):
    state, noise = 1, np.empty(length)
    for i in range(length):
        state = (1664525 * state + 1013904223) % 2**32
        noise[i] = state / 2**31 - 1
    i = np.arange(length, dtype=np.float64)
    sweep = 0.5 * np.sin(2 * np.pi * (100 + 0.02 * i) * i / rate)
    return (sweep + 0.1 * np.sin(2 * np.pi * 0.11 * i) + 0.05 * noise).astype(np.float32)


cases = []
for rate, length, window, hop, bands, lowest, highest in SETTINGS:
    power = librosa.feature.melspectrogram(
        y=signal(rate, length), sr=rate, n_fft=window, hop_length=hop, win_length=window, window="hann",
        center=True, pad_mode="constant", power=2.0, n_mels=bands, fmin=lowest, fmax=highest, htk=False, norm="slaney",
    )
    cases.append({
        "rate": rate, "samples": length, "window": window, "hop": hop, "bands": bands, "lowest": lowest,
        "highest": highest, "frames": power.shape[1], "power": [float(f"{value:.6g}") for value in power.ravel()],
    })
print(json.dumps(cases, separators=(",", ":")))
