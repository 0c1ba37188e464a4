"""The sections of a verdict, each made from the numbers of a judgement."""
