"""What all tests share: the profiles of Hypothesis, and the environment."""

import os

from hypothesis import HealthCheck, settings

# Neither profile times an example: on a busy machine the clock says nothing about the code.
# "ci" tries the same examples in each run, so a change cannot pass or fail by luck.
settings.register_profile(
    "ci",
    max_examples=100,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "deep",
    max_examples=5000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# By this pytest-xdist's processes hear of -X dev; what the tests start hears of it by its arguments, or not at all.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.pop("PYTHONDEVMODE", None)
