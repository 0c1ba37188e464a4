"""Scores that come from elsewhere: tables, spreadsheets and summaries of nnU-Net, judged as a run is."""
