"""Distillation: the members of one recipe teach one network to speak for each of them.

`teacher members + constructs + mutated copies -> student: one trunk, M heads`. A distilled ensemble
costs one trunk a sequence; each head keeps to its own member, so that what an effect is paired by,
and with it the SD of an effect over members, survives. After DEGU (Zhou et al., npj AI 2026,
10.1038/s44387-025-00053-3), which distils the mean and the SD over members instead.

    loss       agreement of means, of their differences, of log-variances
    mutants    which constructs make an epoch, and how their copies are mutated
    lessons    what the teacher says of constructs and of copies: batches
    trainer    the loop, and the files of the student's members
    command    `varsigma-train distil`
"""
