"""The winner in forms that other programs run, each proven to give what foldwise gives."""
