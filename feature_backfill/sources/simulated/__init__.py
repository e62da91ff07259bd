"""An exchange on this machine: the API and the archive of Binance, served over HTTP from the synthetic market.

It takes the place of a real exchange where there is no network: in the live demonstration and in tests.
"""
