"""The campaign: every run of the zoo under one protocol, with what it predicted.

`assay table + recipes -> runs -> records -> metrics`.

    data       the rows with measured replicate noise, and variances no held-out SD enters
    injection  synthetic noise of known size, added to training labels
    plan       which runs there are
    predict    what a trained member says of held-out rows and of the CAGI5 variants
    records    the folder that a run leaves
    lanes      worker processes
    runner     plan -> records, resumable
    status     how far it is
"""
