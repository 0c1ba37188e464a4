"""Does the judge keep its promises? Studies whose truth is known, judged by foldwise and by tests in common use.

`designs` says what a sample is, `drawn` and `trained` make samples, `judgements` and `customs` judge them, `jobs` lists
what is simulated, `promises` says what was kept, `tables` and `pictures` show it.
"""
