"""Starts the processes of a training job with `accelerate launch`, and ends as the job ended, without its traceback."""

# accelerate carries no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import sys


def launch(processes: int, job: str) -> int:
    """Runs the job in so many processes on this machine; gives the exit code of the first that failed, or 0.

    All is said here, so that nothing depends on what `accelerate config` left on this machine.
    """
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    layout = ["--multi_gpu", "--num_processes", str(processes), "--num_machines", "1", "--main_process_port", "0"]
    plain = ["--mixed_precision", "no", "--dynamo_backend", "no"]
    work = ["--module", "textbookgen_transformers.train", job]
    try:
        launch_command(launch_command_parser().parse_args([*layout, *plain, *work]))
    except SignalException as stopped:
        return 128 + int(stopped.sigval)
    except ChildFailedError as failed:
        return abs(failed.get_first_failure()[1].exitcode) or 1
    return 0


if __name__ == "__main__":
    sys.exit(launch(int(sys.argv[1]), sys.argv[2]))
