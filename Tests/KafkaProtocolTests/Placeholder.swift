// tests of KafkaProtocol
