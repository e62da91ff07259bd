"""`feature-backfill alert-test`: one message to each target of alerts.yaml, and which of them arrived."""

import argparse

from feature_backfill.alerts.sending import send
from feature_backfill.alerts.wording import trial_message
from feature_backfill.commands.shared.market import market_named
from feature_backfill.config import configs_folder, read_markets, usable_alerts
from feature_backfill.errors import DONE, RunError, UserError
from feature_backfill.hours import utc_now


def execute(options: argparse.Namespace) -> int:
    """Send the messages, and print a line for each target. Raises RunError if one of them did not arrive.

    Raises UserError at the end if alerts.yaml has targets that cannot be used.
    """
    alerts, refused = usable_alerts()
    if alerts is None:
        raise UserError(f"no {configs_folder() / 'alerts.yaml'}; copy configs/examples/alerts.yaml there and edit it")
    if options.market is not None:
        market_named(read_markets(), options.market)
    targets = [target for target in alerts.targets if options.market is None or target.wants(options.market)]
    message, failed = trial_message(options.market, utc_now()), []
    for target in targets:
        problem = send(target, message)
        print(f"{target.name}: {'arrived' if problem is None else f'did not arrive: {problem}'}", flush=True)
        failed += [] if problem is None else [target.name]
    if not targets:
        print(f"no target is told of {options.market}")
    if refused:
        raise UserError(refused)
    if failed:
        raise RunError(f"{len(failed)} of {len(targets)} targets took no message: {', '.join(failed)}")
    return DONE
