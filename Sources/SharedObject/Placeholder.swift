// SharedObject
