# SPDX-License-Identifier: GPL-2.0-only
"""Find the shortest and simplest program that shows the same finding.

Libraries for delta debugging (picire was looked at) take away units that do not depend on each
other.  Here a malloc goes with the uses of its object, values are made simple too, and a search
must be able to end early with its best: little would be left for a library to do.
"""
