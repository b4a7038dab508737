"""Work that is shared out to processes of their own: the same bits as in one process, nobody left behind.

A worker is started anew (spawned), uses one thread, and takes one task after the other. It ends when its parent does, however
that ends: a thread waits for the parent's end. Ctrl-C is the parent's business.
"""

import io
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from typing import Any, cast

import torch

from earwitness.errors import EarwitnessError, ModelError, UsageError

Work = Callable[[Any, Any], Iterator[int]]  # (what all tasks share, a task): yields how much of it was just done


def share_out(work: Work, shared: Any, tasks: Iterable[Any], jobs: int) -> Generator[int, None, None]:
    """Do `work(shared, task)` for all tasks and yield what it yields, as it comes.

    work: a function at the top of a module.  tasks: taken when there is someone to do them, so they may be made one by one.
    jobs: 1 for this very process; else so many others.
    Errors of the work are raised here. Raises `UsageError` for what can't be sent to another process.
    """
    if jobs == 1:
        with _one_thread():
            for task in tasks:
                yield from work(shared, task)
                del task  # before the next one is made
        return
    packed, crew = _packed((work, shared)), {}
    try:
        for task in tasks:
            idle = [pipe for pipe, (_, busy) in (crew or _hire(crew, jobs, packed)).items() if not busy]
            free = idle[0] if idle else (yield from _next_free(crew))
            _send(crew, free, _packed(task))
            crew[free] = (crew[free][0], True)
            del task
        while any(busy for _, busy in crew.values()):
            free = yield from _next_free(crew)
            crew[free] = (crew[free][0], False)
    finally:
        for process, _ in crew.values():
            process.terminate()
        for pipe, (process, _) in crew.items():
            process.join()
            pipe.close()


def _hire(crew: dict, jobs: int, packed: bytes) -> dict:
    """Start the workers. The crew: for our end of each one's pipe the process, and whether it is busy."""
    context = get_context("spawn")
    for _ in range(jobs):
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        crew[ours] = (process, False)
        theirs.close()
    for pipe in crew:
        _send(crew, pipe, packed)
    return crew


def _send(crew: dict, pipe: connection.Connection, packed: bytes) -> None:
    try:
        pipe.send_bytes(packed)
    except OSError:
        raise _ended(crew[pipe][0]) from None


def _ended(process: Any) -> ModelError:
    process.join()
    return ModelError(
        f"a worker process ended before its task did (exit code {process.exitcode}): was it killed, for memory say? A script "
        'that asks for jobs needs `if __name__ == "__main__":`. What was finished is kept: call again, or with jobs=1'
    )


def _next_free(crew: dict) -> Generator[int, None, connection.Connection]:
    """Wait for a worker to be done with its task, yielding what is reported meanwhile; returns its pipe."""
    while True:
        ready = connection.wait([pipe for pipe, (_, busy) in crew.items() if busy])
        for pipe in cast("list[connection.Connection]", ready):
            try:
                said = pipe.recv()
            except (EOFError, OSError):
                raise _ended(crew[pipe][0]) from None
            if isinstance(said, BaseException):
                raise said
            if said is None:
                return pipe
            yield said


def _serve(pipe: connection.Connection) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    try:
        work, shared = _unpacked(pipe.recv_bytes())
        while True:
            for done in work(shared, _unpacked(pipe.recv_bytes())):
                pipe.send(done)
            pipe.send(None)
    except (EOFError, ConnectionError):  # the parent is gone
        return
    except EarwitnessError as error:
        pipe.send(error)
    except Exception as error:
        pipe.send(ModelError(f"a worker process failed: {type(error).__name__}: {error}"))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
    os._exit(1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread inside, as in a worker: sums are then made in the same order. Afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _packed(thing: Any) -> bytes:
    """An object as bytes, tensors by value: through shared memory, a large model would not fit into small machines'."""
    buffer = io.BytesIO()
    try:
        torch.save(thing, buffer)
    except Exception as error:
        raise UsageError(
            f"this cannot be sent to another process ({error}): take jobs=1, or define it at the top of a module "
            "(a lambda or a function inside a function can't be sent)"
        ) from error
    return buffer.getvalue()


def _unpacked(packed: bytes) -> Any:
    return torch.load(io.BytesIO(packed), weights_only=False)  # from our own parent, nobody else
