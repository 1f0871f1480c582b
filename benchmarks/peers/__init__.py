"""The gateway against other model servers, on the same model and photographs, in the same run."""
