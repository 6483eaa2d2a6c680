"""Fetcher of the Amazon reviews used in the DANN paper: download, verify, cache, read."""

from __future__ import annotations

import hashlib
import io
import os
import time
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import Bunch

from skdann.datasets._checks import check_number
from skdann.datasets._files import write_whole

_Array = NDArray[Any]

_TIMEOUT = 30.0  # seconds without a response
_AMAZON_DOMAINS = ("books", "dvd", "electronics", "kitchen")
_AMAZON_URL = (
    "https://raw.githubusercontent.com/GRAAL-Research/domain_adversarial_neural_network"
    "/{commit}/data/{file}"
)
_NEW = "9c89dea39409345c5d158373aea31b1518bc8632"
_OLD = "35d15ded645989bab9f6ea431a8fcd07c0909f01"
_AMAZON_FILES = {  # name: (a commit known to hold the file, SHA-256)
    "books_train": (_NEW, "317f9a2ec34b81de770b63a84d8c5cc2dc16bd0be6e079d2ff5b5bad5213ea19"),
    "books_test": (_NEW, "fe4605c7dcf0e0a9410fd2a32f247caaf9abb352cc6e4c3e0f400853163ad9c4"),
    "dvd_train": (_OLD, "95f602aa08bf6b55758f7b0b18df3882fe30acb11987ee60b6b4bb3c44cba733"),
    "dvd_test": (_NEW, "4fe1b1a15010f78d8d0c49fe362d35fd4677463a45f1ac02a9f410ae1e638060"),
    "electronics_train": (_NEW, "7d0061f03ff3827e4f8036b051b5e5828fddc0cd115aa5b212cd28d624dc14e4"),
    "electronics_test": (_OLD, "641783bc941839c3a111d3488a1b7e3bd820a61ec14a129e7429b47703aa961d"),
    "kitchen_train": (_OLD, "a70b5ebfe1413e0e16280360905f5c3b64389c435cd20c0165dc9d7f293b31b5"),
    "kitchen_test": (_NEW, "e1502b97a824eb12314be4447394fa736fecb781c0724e6529cd6733ac7ff6d8"),
}
_AMAZON_DESCR = """\
Amazon product reviews, positive (1) or negative (-1), in four product categories

27,677 reviews: books 6,465, dvd 5,586, electronics 7,681, kitchen 7,945; 2,000 of each are "train"
rows, the rest are "test" rows. The 5,000 columns count frequent words and pairs of words; the files
do not say which. Collected by Blitzer et al. (2007), prepared by Chen et al. (2012), published with
the code of Ganin et al. (2016). The code has the BSD-3-Clause licence. The reviews have no licence:
use them for research only.
"""


def fetch_amazon_reviews(
    *,
    source: str | None = None,
    target: str | None = None,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Any:
    """Fetch the Amazon reviews: sentiment in four product categories, which are the domains.

    The data are word counts of 27,677 product reviews, as in Table 1 of the DANN paper. The files
    are downloaded from the authors' repository, checked by SHA-256, and cached in
    ``<data_home>/skdann/amazon_reviews``.

    Parameters
    ----------
    source, target : {"books", "dvd", "electronics", "kitchen"}, default=None
        Two domains, to fetch one task by the protocol of the paper, and only the files of this
        task. None for both fetches all the data.
    data_home : str or path-like, default=None
        Folder of the cache; None uses :func:`sklearn.datasets.get_data_home`.
    download_if_missing : bool, default=True
        Whether to download a file that is missing or damaged. If False, such a file raises an
        OSError.
    return_X_y : bool, default=False
        Whether to return a tuple instead of a Bunch: ``(data, target)``, or for one task
        ``(X_source, y_source, X_target, X_target_test, y_target_test)``.
    n_retries : int, default=3
        Number of further attempts after a failed download.
    delay : float, default=1.0
        Seconds to wait before each further attempt.

    Returns
    -------
    :class:`~sklearn.utils.Bunch` or tuple
        For all the data:

        - `data`: CSR matrix of counts of shape (27677, 5000);
        - `target`: ndarray of shape (27677,), 1 for a positive review and -1 for a negative one;
        - `domain`, `split`: ndarrays of shape (27677,) with the name of the domain, and "train" or
          "test".

        For one task:

        - `X_source`, `y_source`: the 2,000 labelled "train" rows of the source;
        - `X_target`: the 2,000 "train" rows of the target;
        - `X_target_test`, `y_target_test`: the "test" rows of the target, with labels for the final
          score only.

        A Bunch also holds `target_names`, the names of -1 and 1, and `DESCR`.

    Raises
    ------
    OSError
        If a file is neither cached nor can be downloaded, or does not have the expected SHA-256.
    ValueError
        If a parameter is out of range, or the two domains do not form a task.

    References
    ----------
    - J. Blitzer, M. Dredze, F. Pereira (2007). "Biographies, Bollywood, Boom-boxes and Blenders:
      Domain Adaptation for Sentiment Classification." ACL.
    - M. Chen, Z. Xu, K. Weinberger, F. Sha (2012). "Marginalized Denoising Autoencoders for
      Domain Adaptation." ICML.
    - Y. Ganin et al. (2016). "Domain-Adversarial Training of Neural Networks." JMLR 17(59).

    Examples
    --------
    >>> from skdann.datasets import fetch_amazon_reviews
    >>> task = fetch_amazon_reviews(source="books", target="dvd")  # doctest: +SKIP
    >>> task.X_source.shape, task.X_target_test.shape  # doctest: +SKIP
    ((2000, 5000), (3586, 5000))
    """
    _check_task(source, target)
    check_number("n_retries", n_retries, minimum=0, is_integer=True, example=3)
    check_number("delay", delay, minimum=0, example=1.0)
    from sklearn.datasets import get_data_home, load_svmlight_file  # slow to import

    folder = Path(get_data_home(data_home)) / "skdann" / "amazon_reviews"

    def load(domain: str | None, split: str) -> tuple[Any, _Array]:
        name = f"{domain}_{split}"
        content = _read_amazon_file(name, folder, download_if_missing, n_retries, delay)
        X, y = load_svmlight_file(io.BytesIO(content), n_features=5000, zero_based=True)
        # 64-bit indices, as loaded, are refused by some estimators of scikit-learn.
        X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
        return X, y.astype(np.int64)

    description = {"target_names": ["negative", "positive"], "DESCR": _AMAZON_DESCR}
    if source is not None:
        task = dict(zip(("X_source", "y_source"), load(source, "train"), strict=True))
        task["X_target"] = load(target, "train")[0]
        task["X_target_test"], task["y_target_test"] = load(target, "test")
        return tuple(task.values()) if return_X_y else Bunch(**task, **description)

    keys = [(domain, split) for domain in _AMAZON_DOMAINS for split in ("train", "test")]
    blocks, labels = zip(*(load(*key) for key in keys), strict=True)
    data, y = sparse.vstack(blocks, format="csr"), np.concatenate(labels)
    if return_X_y:
        return data, y
    domain, split = np.repeat(np.array(keys), [len(block) for block in labels], axis=0).T
    return Bunch(data=data, target=y, domain=domain, split=split, **description)


def _check_task(source: str | None, target: str | None) -> None:
    """Raise unless source and target are both None or two different domains."""
    for name, value in (("source", source), ("target", target)):
        if value is not None and value not in _AMAZON_DOMAINS:
            raise ValueError(f"{name}={value!r} is not a domain; pass one of {_AMAZON_DOMAINS}.")
    pair = {source, target}
    if pair != {None} and (None in pair or source == target):
        raise ValueError(
            f"source={source!r} and target={target!r} do not form a task; pass two different"
            " domains, or neither for all the data."
        )


def _read_amazon_file(
    name: str, folder: Path, download_if_missing: bool, n_retries: int, delay: float
) -> bytes:
    """Return the verified content of one file, from the cache or, failing that, the network."""
    commit, expected = _AMAZON_FILES[name]
    path = folder / f"{name}.svmlight"
    url = _AMAZON_URL.format(commit=commit, file=path.name)
    state = "is missing"
    if path.is_file():
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == expected:
            return content
        state = f"is damaged (its SHA-256 is not {expected})"
    if not download_if_missing:
        raise OSError(
            f"{path} {state} and download_if_missing is False; set it to True, or copy the file"
            f" from {url} to this path."
        )
    content = _download(url, folder, n_retries, delay)
    checksum = hashlib.sha256(content).hexdigest()
    if checksum != expected:
        raise OSError(
            f"{path.name} from {url} has SHA-256 {checksum} instead of {expected}, so it was not"
            " kept; try again, and report it to skdann if this error persists."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    return content


def _download(url: str, folder: Path, n_retries: int, delay: float) -> bytes:
    """Download the content of a URL, with some attempts after a failure."""
    while True:
        try:
            with urlopen(url, timeout=_TIMEOUT) as response:
                return bytes(response.read())
        except (OSError, HTTPException) as error:
            if n_retries == 0:
                names = ", ".join(f"{name}.svmlight" for name in _AMAZON_FILES)
                raise OSError(
                    f"Could not download {url} ({error!r}); check the network connection, or"
                    f" download the files on another machine and copy them into {folder} without"
                    f" renaming them ({names})."
                ) from error
            n_retries -= 1
            time.sleep(delay)
