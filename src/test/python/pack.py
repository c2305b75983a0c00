"""Packs each folder below a directory into <folder>.zip beside it, reproducibly, and removes the folder.

    python pack.py src/test/resources/savedmodels/models
"""
import os
import shutil
import sys
import zipfile

root = sys.argv[1]
for name in sorted(os.listdir(root)):
    folder = os.path.join(root, name)
    if not os.path.isdir(folder):
        continue
    with zipfile.ZipFile(folder + ".zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for directory, folders, files in os.walk(folder):
            folders.sort()
            for file in sorted(files):
                path = os.path.join(directory, file)
                entry = zipfile.ZipInfo(os.path.relpath(path, folder), (2026, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                with open(path, "rb") as f:
                    packed.writestr(entry, f.read())
    shutil.rmtree(folder)
