# SPDX-License-Identifier: GPL-2.0-only
"""What a person or a program reads of a finding: text, a page of HTML, JSON."""
