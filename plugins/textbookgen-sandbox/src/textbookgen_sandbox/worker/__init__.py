"""Code of the worker: the isolated interpreter that forks a process per program. Standard library only.

The host starts it by path, outside any installed package, because the worker sees neither the host's files nor its packages.
From top to bottom:

- `server`: the fork server; takes one program at a time from the host and returns how it ended.
- `supervisor`: enforces CPU time, wall-clock time and output limits on the processes of one program.
- `isolation`, `filesystem`, `landlock`, `seccomp`, `syscalls`: what the kernel enforces.
- `runner`, `execution`, `snippets`: entry points of the forked processes, and running their source.
- `code_blocks`, `comments`, `sessions`, `output_log`, `expectations`: what a page states about its output, and what it prints.
- `proxies`, `object_server`, `serialization`, `rpc`: tests in one process, the program they test in another.
"""
