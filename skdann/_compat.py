"""Every import that is private to another library or depends on its version.

One place to look when scikit-learn, skorch or torch move something. The rest of the package imports
public names, or these.
"""

from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight as check_sample_weight

__all__ = ["Interval", "StrOptions", "check_sample_weight"]
