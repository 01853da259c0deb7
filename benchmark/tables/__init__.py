"""Tables beyond the leaderboard, one module each, by name: `exitbench leaderboard --table NAME`.

A module has `table(frame: pandas.DataFrame) -> pandas.DataFrame`, from the leaderboard's rows (`exits`, `curve` and
`at_drop` are columns of lists of dicts) to its own, and may have `SPELLING: dict[str, str]`, a format such as "{:.2f}"
for each column that Markdown and the terminal should not show with three decimals. It raises ExitbenchError where no
row is of use.
"""
