"""The report: one verdict with its figures, as text and HTML."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from skdann import DANNClassifier, DANNClassifierCV
from skdann.inspection import AccuracyEstimate, Diagnosis
from skdann.inspection import _diagnosis as module
from skdann.inspection._report import RULES

VERDICTS = ["collapse", "alike", "label_shift", "not_adapted", "unchanged", "changed"]
VERDICTS += ["features_apart", "adapted"]
ADVICE = "by DANNClassifierCV or a scorer of skdann.model_selection"
REASON = "not adapted: the best score exceeds the baseline's by 0.01, not more than 0.05"

# adaptation took effect under covariate shift; the tests change one figure at a time
ADAPTED = Diagnosis(
    n_source=1000,
    n_target=800,
    n_features=3,
    input_auc=0.9,
    feature_auc=0.55,
    reweighted_auc=0.9,
    columns=(module.ColumnShift("age", 0.43, 1.25),),
    source_shares={"a": 0.65, "b": 0.35},
    target_shares={"a": 0.6, "b": 0.4},
    predicted_shares={"a": 0.58, "b": 0.42},
    effective_sample_size=312.4,
    feature_spread=0.8,
    lambda_=1.0,
    domain_accuracy=0.56,
    label_loss=0.2,
    first_label_loss=0.7,
)
LABEL_SHIFT = {
    "target_shares": {"a": 0.28, "b": 0.72},
    "share_intervals": {"a": (0.21, 0.34), "b": (0.66, 0.79)},
    "reweighted_auc": 0.51,
}


class TestVerdict:
    @pytest.mark.parametrize(
        ("name", "change", "words"),
        [
            ("adapted", {}, ["took effect", "0.55 against 0.90", "lambda_max=0", ADVICE]),
            (
                "changed",
                {"reason": "adapted by a mixture of ...", "changed": 0.2, "feature_auc": 0.9},
                ["It is adapted by a mixture of ...", "estimate_accuracy"],
            ),
            # a family without lambda, such as self-training, has the greatest weight
            ("changed", {"reason": "adapted by ...", "lambda_": 0.0}, ["It is adapted by ..."]),
            (
                "unchanged",
                {"reason": REASON, "changed": 0.0},
                ["no prediction for the target differs", f"({REASON})"],
            ),
            ("alike", {"input_auc": 0.53}, ["little to gain", "AUC 0.53", "keep the source-only"]),
            (
                "label_shift",
                LABEL_SHIFT,
                [
                    "can harm",
                    "class b",
                    "72% (66% to 79%) in the target against 35%",
                    "0.90 to 0.51",
                    "target_priors",
                ],
            ),
            (
                "features_apart",
                {"feature_auc": 0.85},
                ["AUC 0.85", "need not matter for the predictions", ADVICE],
            ),
            (
                "not_adapted",
                {"lambda_": 0.0},
                ["trained without adaptation", "try lambda_max > 0", ADVICE],
            ),
            ("not_adapted", {"lambda_": np.nan}, ["trained without adaptation"]),
            (
                "collapse",
                {"predicted_shares": {"a": 0.01, "b": 0.99}},
                ["99% of the target rows are predicted as class b", "35% of the source", "lower"],
            ),
        ],
    )
    def test_one_verdict_with_its_figures(self, name, change, words):
        findings = replace(ADAPTED, **change).findings
        assert list(findings) == [name]
        assert all(word in findings[name] for word in words)

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("flat_features", {"feature_spread": 0.01}),
            ("label_loss_rose", {"label_loss": 0.9}),
            ("no_overlap", {"effective_sample_size": 12.0}),
            ("few_rows", {"n_target": 60}),
        ],
    )
    def test_warnings_follow_the_verdict(self, name, change):
        assert list(replace(ADAPTED, **change).findings) == ["adapted", name]

    def test_there_is_exactly_one_verdict_and_it_comes_first(self):
        rng = np.random.RandomState(0)
        seen = set()
        for _ in range(500):
            shares = [dict(zip("ab", rng.dirichlet([0.3, 0.3]), strict=True)) for _ in range(3)]
            findings = list(
                replace(
                    ADAPTED,
                    input_auc=rng.uniform(0.45, 1),
                    feature_auc=rng.uniform(0.45, 1),
                    reweighted_auc=rng.uniform(0.45, 1),
                    lambda_=rng.choice([0.0, 1.0, np.nan]),
                    reason=rng.choice(["", REASON]),
                    changed=rng.choice([0.0, 0.3, np.nan]),
                    **dict(
                        zip(
                            ["source_shares", "target_shares", "predicted_shares"],
                            shares,
                            strict=True,
                        )
                    ),
                ).findings
            )
            assert [name for name in findings if name in VERDICTS] == findings[:1]
            seen.update(findings)
        assert set(VERDICTS) <= seen <= {name for name, _, _ in RULES}

    def test_chance_is_allowed_for(self):
        # the margin is 0.05 with 1000 and 800 rows, and three deviations, 0.174, with 50 and 50
        assert not replace(ADAPTED, input_auc=0.56).is_alike
        assert replace(ADAPTED, input_auc=0.65, n_source=50, n_target=50).is_alike
        assert not replace(ADAPTED, input_auc=0.69, n_source=50, n_target=50).is_alike

    def test_shares_that_explain_little_are_not_label_shift(self):
        assert replace(ADAPTED, **{**LABEL_SHIFT, "reweighted_auc": 0.8}).is_shifted

    def test_a_share_as_in_the_source_is_not_collapse(self):
        skewed = {"a": 0.97, "b": 0.03}
        d = replace(ADAPTED, source_shares=skewed, target_shares=skewed, predicted_shares=skewed)
        assert not d.is_collapsed


class TestPrint:
    def test_text_has_every_figure(self):
        text = str(ADAPTED)
        assert text == repr(ADAPTED)
        for line in (
            r"Diagnosis of 1,000 source rows and 800 target rows, 3 columns",
            r"  columns +0\.90",
            r"  columns, class shares matched +0\.90",
            r"  features +0\.55",
            r"  age +0\.43 +\+1\.25 SD",
            r"  b +35% +42% +40%",
            r"  effective sample size +312",
            r"  final lambda +1",
            r"  label loss, first to last epoch +0\.70 to 0\.20",
            r"  domain accuracy +0\.56",
        ):
            assert re.search(rf"^{line}$", text, re.MULTILINE), line
        assert "took effect" in text
        assert max(map(len, text.splitlines())) < 90

    def test_shares_are_printed_with_their_intervals_or_not_at_all(self):
        assert re.search(
            r"^  b +35% +42% +72% \(66% to 79%\)$", str(replace(ADAPTED, **LABEL_SHIFT)), re.M
        )
        without = str(replace(ADAPTED, target_shares={}))
        assert "estimated" not in without
        assert re.search(r"^  b +35% +42%$", without, re.M)

    def test_the_share_of_changed_predictions_is_printed_if_it_is_known(self):
        assert "predicted otherwise than by the baseline" not in str(ADAPTED)
        assert re.search(r"than by the baseline +20%$", str(replace(ADAPTED, changed=0.2)), re.M)

    def test_unknown_figures_are_not_printed(self):
        bare = replace(ADAPTED, domain_accuracy=np.nan, columns=())
        assert "domain accuracy" not in str(bare)
        assert "nan" not in str(bare)
        assert "none beyond chance" in str(bare)

    def test_long_names_keep_the_columns_aligned(self):
        long = module.ColumnShift("n" * 50, 0.3, 0.5)
        lines = str(replace(ADAPTED, columns=(*ADAPTED.columns, long))).splitlines()
        ends = {len(line) for line in lines if line.endswith(" SD")}
        assert len(ends) == 1

    def test_html_escapes_names_and_labels(self):
        bad = "<script>x</script> & {d}"
        shares = {bad: 0.01, "b": 0.99}
        html = replace(
            ADAPTED,
            columns=(module.ColumnShift(bad, 0.5, 1.0),),
            source_shares={bad: 0.9, "b": 0.1},
            target_shares=shares,
            reweighted_auc=0.5,
            predicted_shares={bad: 0.99, "b": 0.01},
        )._repr_html_()
        assert "<script" not in html
        assert "&lt;script&gt;x&lt;/script&gt; &amp; {d}" in html

    def test_html_is_balanced_and_has_the_same_text(self):
        opened = []

        class Balance(HTMLParser):
            def handle_starttag(self, tag, attrs):
                opened.append(tag)

            def handle_endtag(self, tag):
                assert opened.pop() == tag

        html = ADAPTED._repr_html_()
        Balance().feed(html)
        assert opened == []
        text = " ".join(str(ADAPTED).split())
        for cell in re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", html):
            assert cell in text


def test_the_accuracy_to_expect_is_part_of_the_report_of_a_search(domains):
    tiny = DANNClassifier(feature_extractor=(8,), domain_classifier=(4,), max_epochs=5)
    search = DANNClassifierCV(tiny, n_seeds=2, random_state=0).fit(*domains[:3])
    for y_source in (domains.y_source, None):
        report = search.diagnose(domains.X_source, domains.X_target, y_source=y_source)
        expected = search.estimate_accuracy(domains.X_source, y_source, domains.X_target)
        assert report.expected == expected
    shown = replace(report, expected=AccuracyEstimate(0.756, 0.712, (0.55, 0.862), "agreement"))
    assert re.search(r"Expected on the target +estimate +90 %\n", str(shown))
    assert re.search(r"  accuracy +0\.76 +0\.55-0\.86\n  balanced accuracy +0\.71\n", str(shown))
    assert "<td" in shown._repr_html_()
    for nothing in (None, AccuracyEstimate(None, None, None, "too few rows")):
        assert "Expected on" not in str(replace(report, expected=nothing))
