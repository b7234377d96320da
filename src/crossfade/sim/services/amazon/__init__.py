"""Amazon's clouds: Bedrock and SageMaker."""
