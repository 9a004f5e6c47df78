"""How good a router is: recorded outcomes in, APGR, CPT and costs with intervals out."""
