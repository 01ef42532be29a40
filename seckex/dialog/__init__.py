"""What the keys are for: links of sealed records that carry dialogs."""
