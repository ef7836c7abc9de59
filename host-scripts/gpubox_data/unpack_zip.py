import os, zipfile
from .entries import Unusable
def unpack_zip(source, staging, workers, progress, say_size):
    if source.size: source.want(max(0, source.size-65557), source.size)
    source.wait_for_all()
    try:
        z = zipfile.ZipFile(source.path)
    except Exception as e: raise Unusable("is not a zip archive that can be read")
    infos=[i for i in z.infolist() if not i.is_dir()]
    for i in infos:
        if ".." in i.filename: raise Unusable(f"is refused: {i.filename} leads out of the folder")
    say_size(len(infos), sum(i.file_size for i in infos))
    os.mkdir(staging)
    z.extractall(staging)
    return len(infos)
