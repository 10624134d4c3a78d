// KafkaListener
