"""Fields that an enterprise defines for itself, without code.

A definition is a row of ``guanxi_custom_field``, each value a typed row of ``guanxi_custom_value``.
Editions hold the definitions as :class:`CustomValues`, which schema and compiler read like a side
table of one attribute.
"""
