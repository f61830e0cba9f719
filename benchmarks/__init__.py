"""How fast, each time beside a peer in the same run: ``python -m benchmarks``.

A benchmark is a module with a function ``rows(rounds)`` that measures and yields a `table.Row` for
each line of the table, and with a line in `benchmarks.__main__`; ``table.main(rows)`` at its end
lets it run alone (``python -m benchmarks.transport``). Shared: `commands` times programs, Packer
among them; `server` is an SSH server behind a relay that delays.
"""
