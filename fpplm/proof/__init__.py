"""Evidence about models: signatures of bundles, certificates of versions"""
