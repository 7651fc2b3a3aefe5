"""Pickled files for the tests of the doctor."""

import os
import pickle
import struct
import zipfile

from hf_lrsched import diagnose


def checks_of(subject, updates=None):
    """The checks that find something wrong with a path or a Trainer."""
    return {finding.check for finding in diagnose(subject, updates) if finding.is_wrong}


def archive(path, content, name="archive/data.pkl"):
    """What torch.save would have made of these bytes."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(name, content)
        file.writestr("archive/version", "3\n")
    return path


class Evil:
    """Pickles into a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def raw(module, name, *arguments):
    """A pickle that calls a name, which need not exist here."""
    lines = [b"\x80\x02c" + module.encode() + b"\n" + name.encode() + b"\n("]
    for argument in arguments:
        data = argument.encode()
        lines.append(b"X" + struct.pack("<I", len(data)) + data)
    return b"".join([*lines, b"tR."])


def evils(mark):
    yield "os.system", pickle.dumps(Evil(os.system, f"touch {mark}"))
    yield "posix", raw("posix", "system", f"touch {mark}")
    yield "eval", pickle.dumps(Evil(eval, f"open({str(mark)!r}, 'w').close()"))
    yield "exec", pickle.dumps(Evil(exec, f"open({str(mark)!r}, 'w').close()"), protocol=4)
    yield "open", pickle.dumps(Evil(open, str(mark), "w"))
    yield "getattr", raw("builtins", "getattr", "a", "b")
    yield "Path.touch", raw("pathlib", "Path.touch", str(mark))
    yield "torch.load", raw("torch", "load", str(mark))
    yield "torch.storage", raw("torch.storage", "_load_from_bytes", str(mark))
    yield "torch.hub", raw("torch.hub", "load", str(mark))
    yield "torch.jit", raw("torch.jit._serialization", "load", str(mark))
    yield "numpy", raw("numpy", "load", str(mark))
    yield "runpy", raw("runpy", "run_path", str(mark))
    yield "this package", raw("hf_lrsched.schedules.modules", "import_names", "this")
    yield "nested name", raw("transformers", "TrainingArguments.__init__", "a")
    yield "copyreg", raw("copyreg", "_reconstructor", "a")
    yield "functools", raw("functools", "partial", "a")
    yield "importlib", raw("importlib", "import_module", "this")
