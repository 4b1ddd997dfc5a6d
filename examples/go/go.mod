module lifeboat.example/client

go 1.19
