from tests.features.ingestion.test_quality_commands import command as command
