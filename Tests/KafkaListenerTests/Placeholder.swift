// tests of KafkaListener
