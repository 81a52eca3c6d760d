"""The process that holds a lab: started as `python -m simopen.lab.supervisor` by the front.

`__main__` is its life; `_kernel` and `_namespace` build hosts, `_forwarder` carries packets between
them, `_recorder` writes them down. Nothing outside this process imports from here.
"""
