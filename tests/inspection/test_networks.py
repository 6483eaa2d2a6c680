"""Summary of the networks, against what torch counts."""

import pandas as pd
import pytest
import torch

from skdann.inspection import summarize_networks


class TestSummary:
    def test_counts_what_torch_counts(self, clf):
        summary = summarize_networks(clf)
        trained = sum(p.numel() for p in clf.module_.parameters())
        assert summary.n_parameters == trained
        table = pd.DataFrame(summary.layers)
        assert list(table.columns) == ["network", "layer", "output", "n_parameters"]
        by_network = table.groupby("network")["n_parameters"].sum()
        assert by_network["feature_extractor"] == 4 * 8 + 8
        assert by_network["label_predictor"] == 8 * 2 + 2
        assert by_network["domain_classifier"] == (8 * 4 + 4) + (4 * 1 + 1)
        first = summary.layers[0]
        assert first.layer == "Linear(in_features=4, out_features=8)"
        assert first.output == (8,)

    def test_prints_every_layer_and_total(self, pipe):
        summary = summarize_networks(pipe)
        shown, html = repr(summary), summary._repr_html_()
        for text in ("Feature extractor", "Label predictor", "Domain classifier"):
            assert text in shown
            assert text in html
        for layer in summary.layers:
            assert layer.layer in shown
            assert layer.layer in html
        assert f"4 columns, {summary.n_parameters:,} parameters" in shown
        assert html.count("<table>") == html.count("</table>") == 3
        assert max(map(len, shown.splitlines())) < 80

    def test_custom_networks(self, domains, make_clf):
        class Body(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = torch.nn.Parameter(torch.ones(4))
                self.layers = torch.nn.Sequential(
                    torch.nn.Unflatten(1, (1, 4)), torch.nn.Conv1d(1, 2, 3), torch.nn.Flatten()
                )
                self.frozen = torch.nn.Linear(1, 1).requires_grad_(False)

            def forward(self, x):
                return self.layers(x * self.scale)

        X, y, X_target, _ = domains
        clf = make_clf(feature_extractor=Body(), conditioning="cdan").fit(X, y, X_target)
        layers = {
            layer.layer.partition("(")[0]: layer
            for layer in summarize_networks(clf).layers
            if layer.network == "feature_extractor"
        }
        assert layers["Body"].n_parameters == 4
        assert layers["Conv1d"].n_parameters == 8
        assert layers["Conv1d"].output == (2, 2)
        assert layers["Flatten"].output == (4,)
        assert layers["Linear"].n_parameters == 0  # frozen
        assert layers["Linear"].output == ()  # never called
        assert "2 × 2" in repr(summarize_networks(clf))
        assert "in_features=8" in repr(summarize_networks(clf))  # G_d sees 4 features x 2 classes

    def test_leaves_no_hooks(self, clf):
        summarize_networks(clf)
        assert not any(layer._forward_hooks for layer in clf.module_.modules())

    def test_training_on_the_source_alone_has_two_networks(self, domains, make_clf):
        with pytest.warns(match="target"):
            clf = make_clf().fit(domains.X_source, domains.y_source)
        assert {layer.network for layer in summarize_networks(clf).layers} == {
            "feature_extractor",
            "label_predictor",
        }

    def test_a_path_and_batch_statistics(self, cv, domains, make_clf):
        assert summarize_networks(cv).n_features_in == 4
        X, y, X_target, _ = domains
        clf = make_clf(normalization="domain_batch").fit(X, y, X_target)
        summary = summarize_networks(clf)
        assert summary.n_parameters == sum(p.numel() for p in clf.module_.parameters())
        assert all(layer.output for layer in summary.layers)
