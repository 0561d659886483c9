"""Losses over a batch of several assays; labels that were not measured are masked.

`Prediction, Batch -> named terms -> scalar`. A loss is a frozen dataclass: its fields are its
hyper-parameters, and one signature serves all. All quantities are on each assay's standardised
scale (activity minus the training mean, over the training SD), so assays of different spread weigh
alike; noise is relative to what is typical of its assay unless a loss says otherwise.

    base         Batch, Loss, masks, what every loss shares
    regression   squared error, mean and variance, Gaussian likelihood
    ranking      the order of pairs, weighted by how far noise lets one trust it
    gating       likelihood or squared error with a ranking term, strong where labels are quiet
    contrastive  embeddings of alike sequences: quiet ones together, noisy ones apart
    pairs        the order of pairs that the sampler mined

A new loss is one class in one of these modules and the recipe lines that use it.
"""
