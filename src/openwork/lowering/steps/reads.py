"""What most steps read: the one activation they call `input`, or all those in `inputs`."""


class ReadsInput:
    input: str

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.input,)


class ReadsInputs:
    inputs: tuple[str, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        return self.inputs
