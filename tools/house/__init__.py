"""The house measured, held to its ceilings, and drawn in docs/map.md; by the standard library alone.

tree        the modules of src/foldwise, what each imports, and the floors of the import contract
measures    what is counted, by floor and of the whole
ceilings    tools/house.toml: what no measure may exceed
drawing     the part of docs/map.md between two markers
evening     the reading list at the end of docs/map.md
"""
