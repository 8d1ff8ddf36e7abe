"""What the tests about people share."""

import pytest


@pytest.fixture(autouse=True)
def _uploads(tmp_path, settings):
    """Keep uploaded files in the folder of the test."""
    settings.MEDIA_ROOT = tmp_path
