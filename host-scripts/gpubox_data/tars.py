def unpack_zip(*a): raise NotImplementedError
unpack_tar=holds_tar=unpack_zip
