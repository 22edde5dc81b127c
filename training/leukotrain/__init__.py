"""The training package of Leukoscope: data, fitting and evaluation of its models."""
