import os
from typing import NamedTuple
class Tree(NamedTuple):
    path: str
    files: int
def tree_of(staging, kind):
    n=sum(len(f) for _,_,f in os.walk(staging))
    l=os.listdir(staging)
    return Tree(staging+"/"+l[0] if len(l)==1 and os.path.isdir(staging+"/"+l[0]) else staging, n)
