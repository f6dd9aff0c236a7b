"""No crash, at any point, loses a message or sends one twice: rules of a state machine, and known traces."""

from hypothesis import settings

from .machine import Machine

TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
