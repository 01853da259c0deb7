"""Tables beyond the leaderboard, one module each, by name: `exitbench leaderboard --table NAME`.

A module has `table(frame: pandas.DataFrame) -> pandas.DataFrame`, from the leaderboard's rows (`exits`, `curve`,
`results` and `config` hold sections of the records) to its own; an empty one where no row is of use. It may have
`SPELLING: dict[str, str]`, a format such as "{:.2f}" for each column that Markdown and the terminal should not show
with three decimals.
"""
