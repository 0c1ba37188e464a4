"""Built-in data sets: pictures drawn from a seed, with ground truth, groups and a stated difficulty.

catalogue   the table of kinds, and `make`, which writes one as an ordinary folder
canvas      what every family draws with: seeds, soft noise, outlines, the camera
bacteria    rods under phase contrast          binary masks
vessels     retina-like vessel trees           binary masks, two eyes per person
cells       fluorescent nuclei and cells       binary and three-class masks
letters     letters under blur and noise      binary masks
gels        gels against other pictures        two classes, near-duplicates marked
scenes      the other pictures
organelles  the same with 28 labels            several labels per picture
proteins    four-channel cells                 several labels per picture
"""
