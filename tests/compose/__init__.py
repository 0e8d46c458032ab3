"""What can be checked of docker-compose.yml and its images without a container engine."""
