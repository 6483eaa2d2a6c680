"""What a user waits for: the first fit, a search, and predictions."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from skdann import DANNClassifier, DANNClassifierCV
from skdann.datasets import make_covariate_shift

FIRST_FIT = """
import time
from skdann import DANNClassifier
from skdann.datasets import make_covariate_shift
X_source, y_source, X_target, _ = make_covariate_shift(300, random_state=0)
begun = time.process_time()
DANNClassifier(max_epochs=2, random_state=0).fit(X_source, y_source, X_target)
print(time.process_time() - begun)
"""


class Start:
    """A new process."""

    unit = "s"

    def track_first_fit(self) -> float:
        """CPU time of the first fit after the import; median of five processes."""
        command = [sys.executable, "-c", FIRST_FIT]
        return statistics.median(
            float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            for _ in range(5)
        )

    def timeraw_import(self) -> str:
        """Time of the import, with torch and scikit-learn."""
        return "import skdann"


class Search:
    """A search with the defaults, on 200 + 200 rows."""

    timeout = 300

    def setup(self) -> None:
        """Make two shifted domains."""
        self.data = make_covariate_shift(200, random_state=0)[:3]
        self.clf = DANNClassifier(max_epochs=10, random_state=0)

    def time_search(self) -> None:
        """Time of the search."""
        DANNClassifierCV(self.clf, random_state=0).fit(*self.data)

    def track_ratio_to_single_fits(self) -> float:
        """CPU time against as many single fits as there are members."""
        ratios = []
        for _ in range(5):
            begun = time.process_time()
            search = DANNClassifierCV(self.clf, random_state=0).fit(*self.data)
            between = time.process_time()
            networks = [m for members in search.candidates_ for m in members if hasattr(m, "net_")]
            for _member in networks:
                self.clf.fit(*self.data)
            ratios.append((between - begun) / (time.process_time() - between))
        return statistics.median(ratios)

    track_ratio_to_single_fits.unit = "ratio"  # type: ignore[attr-defined]


class Predictions:
    """Predictions of a fitted classifier and of a fitted search."""

    params = (["classifier", "search"], [1, 1000, 100_000])
    param_names = ("estimator", "n_rows")

    def setup(self, kind: str, n_rows: int) -> None:
        """Fit, and repeat target rows."""
        X_source, y_source, X_target, _ = make_covariate_shift(200, random_state=0)
        clf = DANNClassifier(max_epochs=3, random_state=0)
        clf = clf if kind == "classifier" else DANNClassifierCV(clf, random_state=0)
        self.clf = clf.fit(X_source, y_source, X_target)
        self.X = X_target.repeat(-(-n_rows // len(X_target)), axis=0)[:n_rows]

    def time_predict_proba(self, kind: str, n_rows: int) -> None:
        """Time of one call."""
        self.clf.predict_proba(self.X)
